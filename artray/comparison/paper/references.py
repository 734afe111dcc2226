"""What a methods paragraph may cite, as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import artray


@dataclass(frozen=True)
class Reference:
    """One entry.

    Attributes:
        kind: BibTeX's kind.
        short: Author and year, for plain text.
        fields: BibTeX's fields, in LaTeX.
    """

    kind: str
    short: str
    fields: dict[str, str]


def _article(short: str, author: str, title: str, journal: str, **fields: str) -> Reference:
    return Reference("article", short, {"author": author, "title": title, "journal": journal, **fields})


def _proceedings(short: str, author: str, title: str, booktitle: str, **fields: str) -> Reference:
    return Reference("inproceedings", short, {"author": author, "title": title, "booktitle": booktitle, **fields})


REFERENCES = {
    "artray": Reference(
        "software",
        "artray developers 2026",
        {
            "author": "{The artray developers}",
            "title": "{artray}: labels for a museum's image collection",
            "version": artray.__version__,
            "year": "2026",
            "note": f"Version {artray.__version__}",
        },
    ),
    "keras": Reference(
        "misc", "Chollet et al. 2015",
        {"author": "Chollet, Fran{\\c{c}}ois and others", "title": "{Keras}", "year": "2015",
         "howpublished": "\\url{https://keras.io}"},
    ),
    "tensorflow": _proceedings(
        "Abadi et al. 2016", "Abadi, Mart{\\'i}n and others", "{TensorFlow}: A System for Large-Scale Machine Learning",
        "12th USENIX Symposium on Operating Systems Design and Implementation", pages="265--283", year="2016",
    ),
    "ray": _proceedings(
        "Moritz et al. 2018", "Moritz, Philipp and others",
        "{Ray}: A Distributed Framework for Emerging {AI} Applications",
        "13th USENIX Symposium on Operating Systems Design and Implementation", pages="561--577", year="2018",
    ),
    "efficientnet": _proceedings(
        "Tan and Le 2019", "Tan, Mingxing and Le, Quoc V.",
        "{EfficientNet}: Rethinking Model Scaling for Convolutional Neural Networks",
        "Proceedings of the 36th International Conference on Machine Learning", pages="6105--6114", year="2019",
    ),
    "imagenet": _article(
        "Russakovsky et al. 2015", "Russakovsky, Olga and others",
        "{ImageNet} Large Scale Visual Recognition Challenge",
        "International Journal of Computer Vision", volume="115", pages="211--252", year="2015",
    ),
    "gatys": _proceedings(
        "Gatys et al. 2016", "Gatys, Leon A. and Ecker, Alexander S. and Bethge, Matthias",
        "Image Style Transfer Using Convolutional Neural Networks",
        "IEEE Conference on Computer Vision and Pattern Recognition", pages="2414--2423", year="2016",
    ),
    "fisher": _article(
        "Fisher 1936", "Fisher, Ronald A.", "The Use of Multiple Measurements in Taxonomic Problems",
        "Annals of Eugenics", volume="7", number="2", pages="179--188", year="1936",
    ),
    "ledoit-wolf": _article(
        "Ledoit and Wolf 2004", "Ledoit, Olivier and Wolf, Michael",
        "A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices", "Journal of Multivariate Analysis",
        volume="88", number="2", pages="365--411", year="2004",
    ),
    "lbfgs": _article(
        "Liu and Nocedal 1989", "Liu, Dong C. and Nocedal, Jorge",
        "On the Limited Memory {BFGS} Method for Large Scale Optimization", "Mathematical Programming", volume="45",
        pages="503--528", year="1989",
    ),
    "adam": _proceedings(
        "Kingma and Ba 2015", "Kingma, Diederik P. and Ba, Jimmy", "{Adam}: A Method for Stochastic Optimization",
        "3rd International Conference on Learning Representations", year="2015",
    ),
    "guo": _proceedings(
        "Guo et al. 2017", "Guo, Chuan and Pleiss, Geoff and Sun, Yu and Weinberger, Kilian Q.",
        "On Calibration of Modern Neural Networks",
        "Proceedings of the 34th International Conference on Machine Learning", pages="1321--1330", year="2017",
    ),
    "efron": Reference(
        "book", "Efron and Tibshirani 1993",
        {"author": "Efron, Bradley and Tibshirani, Robert J.", "title": "An Introduction to the Bootstrap",
         "publisher": "Chapman \\& Hall", "year": "1993"},
    ),
    "davison": Reference(
        "book", "Davison and Hinkley 1997",
        {"author": "Davison, Anthony C. and Hinkley, David V.", "title": "Bootstrap Methods and their Application",
         "publisher": "Cambridge University Press", "year": "1997"},
    ),
    "mcnemar": _article(
        "McNemar 1947", "McNemar, Quinn",
        "Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages", "Psychometrika",
        volume="12", number="2", pages="153--157", year="1947",
    ),
    "holm": _article(
        "Holm 1979", "Holm, Sture", "A Simple Sequentially Rejective Multiple Test Procedure",
        "Scandinavian Journal of Statistics", volume="6", number="2", pages="65--70", year="1979",
    ),
    "clopper": _article(
        "Clopper and Pearson 1934", "Clopper, C. J. and Pearson, E. S.",
        "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial", "Biometrika", volume="26",
        number="4", pages="404--413", year="1934",
    ),
    "good": Reference(
        "book", "Good 2005",
        {"author": "Good, Phillip I.", "title": "Permutation, Parametric and Bootstrap Tests of Hypotheses",
         "edition": "3rd", "publisher": "Springer", "year": "2005"},
    ),
    "ojala": _article(
        "Ojala and Garriga 2010", "Ojala, Markus and Garriga, Gemma C.",
        "Permutation Tests for Studying Classifier Performance", "Journal of Machine Learning Research", volume="11",
        pages="1833--1863", year="2010",
    ),
}  # fmt: skip


def bibtex(keys: Iterable[str]) -> str:
    """The entries of these keys."""
    entries = []
    for key in sorted(set(keys)):
        reference = REFERENCES[key]
        kind = "misc" if reference.kind == "software" else reference.kind
        fields = "".join(f"  {name} = {{{value}}},\n" for name, value in reference.fields.items())
        entries.append(f"@{kind}{{{key},\n{fields}}}\n")
    return "\n".join(entries)
