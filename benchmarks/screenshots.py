"""Renews the README's screenshots of the report and of TensorBoard from the demo's results: synthetic slices only.

make demo, then .venv/bin/python benchmarks/screenshots.py. Needs Chromium.
"""

import io
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request

import PIL.Image
from playwright import sync_api

ROOT = pathlib.Path(__file__).resolve().parents[1]
PORT = 6123
MAX_COLOURS = 128  # Keeps each picture below 150 kB.


def main():
    board = subprocess.Popen([sys.executable, ROOT / "src" / "show_tensorboard.py", ROOT / "demo", "--port", str(PORT)])
    try:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1200, "height": 900})
            page.goto((ROOT / "demo" / "results" / "report.html").as_uri())
            page.wait_for_timeout(5_000)  # The pictures of cases are drawn after the texts.
            save(page, "report")
            wait_for_server()
            page.goto(f"http://localhost:{PORT}/?runFilter=final&tagFilter=dice|loss|cases#timeseries")
            page.get_by_text("epoch_dice").first.wait_for(timeout=60_000)
            page.get_by_role("button", name="Settings").last.click()  # Closes the panel at the right.
            page.wait_for_timeout(5_000)  # The curves are drawn after their titles.
            save(page, "tensorboard")
            browser.close()
    finally:
        board.terminate()
        board.wait()


def wait_for_server():
    for _ in range(60):
        try:
            urllib.request.urlopen(f"http://localhost:{PORT}", timeout=5).close()
            return
        except OSError:
            time.sleep(1)
    raise TimeoutError("TensorBoard did not start")


def save(page, name):
    picture = PIL.Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").quantize(MAX_COLOURS).save(ROOT / "readme_figures" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
