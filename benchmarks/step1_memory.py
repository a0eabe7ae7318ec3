"""Peak memory of step 1, and of each of its workers, with 100, 300 and 600 pairs of DICOM and PNG, 512 x 512.

The pairs are 60 phantoms, each shifted to ten places. Linux only: the peaks are VmHWM of /proc, when step 1 has ended.
python benchmarks/step1_memory.py
"""

import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import numpy as np

import storage
from data import phantoms

COUNTS, PHANTOMS = (100, 300, 600), 60


def main():
    with tempfile.TemporaryDirectory() as folder:
        workspaces = {count: storage.Workspace(pathlib.Path(folder) / str(count)) for count in COUNTS}
        write_pairs(workspaces)
        for count, workspace in workspaces.items():
            ended = subprocess.run(
                [sys.executable, __file__, str(workspace.root)], check=True, stdout=subprocess.PIPE, text=True
            )
            print(f"{count} pairs: {ended.stdout.splitlines()[-1]}", flush=True)


def write_pairs(workspaces):
    import SimpleITK as sitk
    from PIL import Image

    for workspace in workspaces.values():
        for kind in ("images", "masks"):
            (workspace.original_dataset / "phantoms" / kind).mkdir(parents=True)
    kept = []
    for number in range(max(COUNTS)):
        if number < PHANTOMS:
            kept.append(phantoms.draw(number))
        shift = number // PHANTOMS * 9
        pixels, mask = (np.roll(values, (shift, -shift), (0, 1)) for values in kept[number % PHANTOMS])
        image = sitk.GetImageFromArray(pixels[None])
        for tag, value in (("0008|0060", "CT"), ("0010|0020", f"phantom {number % PHANTOMS}")):
            image.SetMetaData(tag, value)
        for count, workspace in workspaces.items():
            if number < count:
                folder = workspace.original_dataset / "phantoms"
                sitk.WriteImage(image, str(folder / "images" / f"{number:03d}.dcm"))
                Image.fromarray(mask * 255).save(folder / "masks" / f"{number:03d}.png")


def run(workspace):
    import command_line
    from data import original_dataset

    command_line.disable_malloc_trim()  # As main.py does for every step.
    original_dataset.create_preloaded_dataset(workspace)
    own, children = peaks()
    workers = ", ".join(f"{peak:.0f}" for peak in sorted(children, reverse=True))
    print(f"step 1 {own:.0f} MB; its other processes {workers} MB")


def peaks():
    """The peak memory of this process, and of its children, in MB."""
    own, children = 0.0, []
    me = str(pathlib.Path("/proc/self").resolve().name)
    for file in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            text = file.read_text()
        except OSError:  # It has ended.
            continue
        fields = dict(re.findall(r"^(\w+):\s*(\d+)", text, re.MULTILINE))
        if file.parent.name == me:
            own = int(fields["VmHWM"]) / 1024
        elif fields["PPid"] == me and "VmHWM" in fields:
            children.append(int(fields["VmHWM"]) / 1024)
    return own, children


if __name__ == "__main__":
    run(storage.Workspace(pathlib.Path(sys.argv[1]))) if len(sys.argv) > 1 else main()
