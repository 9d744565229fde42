"""A film holds the frames that it was made from."""

import av
import numpy as np
import pytest

from sensei_lite.plots.video import save_mp4


@pytest.mark.parametrize(("size", "scale"), [((10, 12), 3), ((9, 7), 1)])
def test_a_video_holds_its_frames_and_rests_on_the_last(tmp_path, size, scale):
    shades = [0, 80, 160, 240]
    frames = [np.full((*size, 3), shade, np.uint8) for shade in shades]
    save_mp4(frames, tmp_path / "a.mp4", frames_per_second=4, hold_seconds=0.5, scale=scale)
    with av.open(str(tmp_path / "a.mp4")) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        decoded = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert float(file.duration / av.time_base) == pytest.approx(1.5)
    assert decoded[0].shape == (*(scale * side + scale * side % 2 for side in size), 3)
    np.testing.assert_allclose([frame.mean() for frame in decoded], [*shades, 240, 240], atol=4)
    with pytest.raises(ValueError, match="no frames"):
        save_mp4([], tmp_path / "b.mp4")
    with pytest.raises(ValueError, match="one size"):
        save_mp4([frames[0], frames[0][:4]], tmp_path / "b.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
