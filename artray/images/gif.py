"""GIF files."""

from __future__ import annotations

from PIL import GifImagePlugin, Image

from artray.images.color import to_8bit
from artray.images.reading import Reader, Source


class GifReader(Reader):
    """GIF, the first frame of it."""

    im: GifImagePlugin.GifImageFile

    def __init__(self, source: Source) -> None:
        super().__init__(source, GifImagePlugin.GifImageFile)

    def load(self) -> Image.Image:
        """Decode the pixels; what the frame leaves of the screen is transparent, as browsers show it."""
        frame = self.im.tile[0].extents
        self.im.load()
        if frame is None or frame == (0, 0, *self.size):
            return self.im
        drawn = Image.new("L", self.size)
        drawn.paste(255, frame)
        screen = Image.new("RGBA", self.size, (255, 255, 255, 0))
        screen.paste(to_8bit(self.im).convert("RGBA"), mask=drawn)
        return screen
