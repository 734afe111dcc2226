"""What a picture says of how it came to be: XMP after IPTC's Photo Metadata Standard 2025.1.

IPTC's vocabulary of digital sources: https://cv.iptc.org/newscodes/digitalsourcetype/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias
from xml.sax.saxutils import escape

import artray

SourceType: TypeAlias = Literal["trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"]
"""IPTC's words for a picture that a model has made, and for one made before that a model has changed."""

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_PACKET = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
   <Iptc4xmpExt:DigitalSourceType>{kind}</Iptc4xmpExt:DigitalSourceType>
   <Iptc4xmpExt:AISystemUsed>{system}</Iptc4xmpExt:AISystemUsed>
   <Iptc4xmpExt:AISystemVersionUsed>{version}</Iptc4xmpExt:AISystemVersionUsed>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


@dataclass(frozen=True)
class DigitalSource:
    """What made a picture.

    Attributes:
        kind: Whether a model has made it or changed it.
        system: The program and the model.
        version: Which one of it.
    """

    kind: SourceType
    system: str
    version: str

    def xmp(self) -> bytes:
        """The packet that a PNG, JPEG or WebP file holds, UTF-8."""
        values = {"kind": _VOCABULARY + self.kind, "system": escape(self.system), "version": escape(self.version)}
        return _PACKET.format_map(values).encode()


def generated_by(model: str, version: str = artray.__version__) -> DigitalSource:
    """Of a picture that a model has made out of nothing but numbers or words.

    Args:
        model: The `model_id` of its bundle, or what else it is called.
        version: artray's, unless there is more to say.
    """
    return DigitalSource("trainedAlgorithmicMedia", f"artray {model}", version)


def changed_by(model: str, version: str = artray.__version__) -> DigitalSource:
    """Of a picture that a model has made out of a work's picture: enlarged, or in another style.

    Args:
        model: As for `generated_by`.
        version: Likewise.
    """
    return DigitalSource("compositeWithTrainedAlgorithmicMedia", f"artray {model}", version)
