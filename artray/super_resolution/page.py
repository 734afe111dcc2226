"""The page of an upscaler: pictures before and after, how near they come to the originals, how training went.

Static like the page of an evaluation: no server, no internet, no script; the chart is SVG in the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from artray.bundles.description import read_history
from artray.bundles.upscaler import EXAMPLES, UpscalerBundle, load_upscaler_bundle, read_evaluation
from artray.report.charts import Series, line_chart
from artray.report.sections import section, static_page, table
from artray.storage import Location

PAGE = "page"
_PICTURES = "pictures"
_STYLES = (
    ("artray.report", "page.css"),
    ("artray.report", "evaluation.css"),
    ("artray.super_resolution", "upscaler.css"),
)


def write_page(bundle: Location) -> Location:
    """Write the page of an upscaler bundle below it, over an older one if there is one.

    Returns:
        The place of the page to open.

    Raises:
        InputError: It is no upscaler bundle.
    """
    about, evaluation, history = load_upscaler_bundle(bundle), read_evaluation(bundle), read_history(bundle)
    out = bundle / PAGE
    for room, style in _STYLES:
        (out / style).write_bytes(files(room).joinpath(style).read_bytes())
    page = static_page(
        about.model_id,
        sections=[_pictures(bundle, about, evaluation), _figures(about, evaluation), _learning(history)],
        styles=tuple(style for _, style in _STYLES),
        kind="evaluation",
        eyebrow=f"Pictures enlarged {about.scale} times",
        lead=_lead(evaluation),
        about=f"Trained on {about.data['train']:,} pictures, made small by bicubic interpolation; "
        f"{about.metrics['steps']:,} steps.",
        suffix=": super-resolution",
    )
    (out / "index.html").write_bytes(page)
    return out / "index.html"


def _lead(evaluation: Mapping[str, Any]) -> str:
    if not evaluation["n"]:
        return "There is no test part, so nothing says how near its pictures come to the originals."
    gain = evaluation["upscaler"]["psnr"] - evaluation["bicubic"]["psnr"]
    error = evaluation["psnr_gain_error"]
    return (
        f"On {evaluation['n']:,} pictures that it never saw it is <strong>{_signed(gain)} dB</strong> (± {error:.2f}) "
        f"from bicubic interpolation, and nearer to the original in {evaluation['better']:.0%} of them."
    )


def _pictures(bundle: Location, about: UpscalerBundle, evaluation: Mapping[str, Any]) -> str:
    items = []
    for number, row in enumerate(evaluation["examples"]):
        captions = {
            "small": "made small",
            "bicubic": f"bicubic interpolation, {row['bicubic_psnr']:.1f} dB",
            "upscaler": f"this upscaler, {row['psnr']:.1f} dB",
            "original": "the original",
        }
        figures = []
        for kind, caption in captions.items():
            name = f"{number:02d}-{kind}.png"
            (bundle / PAGE / _PICTURES / name).write_bytes((bundle / EXAMPLES / name).read_bytes())
            image = f'<img src="{_PICTURES}/{name}" alt="{escape(caption)}" loading="lazy">'
            figures.append(f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>")
        items.append(f'<li><div class="row">{"".join(figures)}</div></li>')
    if not items:
        return ""
    hint = f"Works of the test part at a {about.scale}th of their size, and enlarged again."
    return section("pictures", "Before and after", hint, f'<ul class="upscaled">{"".join(items)}</ul>')


def _figures(about: UpscalerBundle, evaluation: Mapping[str, Any]) -> str:
    if not evaluation["n"]:
        return ""
    rows = [
        [name, f"{evaluation[kind]['psnr']:.2f} dB", f"{evaluation[kind]['ssim']:.4f}"]
        for name, kind in (("this upscaler", "upscaler"), ("bicubic interpolation", "bicubic"))
    ]
    hint = (
        f"Means over {evaluation['n']:,} pictures, of their luminance, {about.scale} pixels at the edges left out. "
        "Higher is nearer to the original."
    )
    return section("figures", "How near to the originals", hint, table(["", "PSNR", "SSIM"], rows, 1))


def _learning(history: Sequence[Mapping[str, Any]]) -> str:
    points = [(float(row["epoch"]), float(row["psnr"])) for row in history if "psnr" in row]
    if len(points) < 2:
        return ""
    values = [value for _, value in points]
    chart = line_chart(
        "PSNR on the validation part by epoch",
        [Series("", points)],
        "epoch",
        "dB",
        x_range=(points[0][0], points[-1][0]),
        y_range=(min(values), max(values)),
    )
    return section("learning", "How it learned", "PSNR on the validation part.", chart)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
