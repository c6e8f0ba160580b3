#!/usr/bin/env python3
"""Draws docs/demo.svg: what `mainstay status` prints while `mainstay serve --demo` runs.

    mainstay serve --demo &
    python3 docs/demo.py target/release/mainstay 100 > docs/demo.svg

Asks twice a second; a frame is kept when the level changes. Start the demo on an empty data directory.
"""

import html
import subprocess
import sys
import time

FRAME_SECONDS = 2.5
MAX_FRAMES = 8
CHAR, LINE, MARGIN, TOP = 8.43, 20, 20, 64


def record(binary, seconds, server):
    frames, last, began = [], None, time.monotonic()
    while (passed := time.monotonic() - began) < seconds and len(frames) < MAX_FRAMES:
        text = subprocess.run([binary, "status", "--server", server], capture_output=True, text=True, check=True).stdout
        if (level := text.split()[0]) != last:
            frames.append((round(passed), text))
            last = level
        time.sleep(0.5)
    return frames


def draw(frames):
    lines = max(len(text.splitlines()) for _, text in frames)
    columns = max(len(line) for _, text in frames for line in text.splitlines())
    width, height = round(columns * CHAR + 2 * MARGIN), TOP + lines * LINE + 8
    total = len(frames) * FRAME_SECONDS
    share = 100 / len(frames)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">')
    print("<title>mainstay status, while the demo's dependencies fail and recover</title>")
    print(f"""<style>
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d4d4d4; white-space: pre; }}
.quiet {{ fill: #808080; }}
.frame {{ opacity: 0; animation: show {total}s step-end infinite; }}
.frame:first-of-type {{ opacity: 1; }}
@keyframes show {{ 0% {{ opacity: 1; }} {share:.3f}% {{ opacity: 0; }} 100% {{ opacity: 0; }} }}
@media (prefers-reduced-motion: reduce) {{ .frame {{ animation: none; }} }}
</style>""")
    print(f'<rect width="{width}" height="{height}" rx="8" fill="#1e1e1e"/>')
    print(f'<text x="{MARGIN}" y="32" class="quiet">$ mainstay status --watch</text>')
    for number, (second, text) in enumerate(frames):
        print(f'<g class="frame" style="animation-delay: {number * FRAME_SECONDS:g}s">')
        print(f'<text x="{width - MARGIN}" y="32" text-anchor="end" class="quiet">{second} s</text>')
        for row, line in enumerate(text.splitlines()):
            if line.strip():
                body = html.escape(line)
                length = f'textLength="{len(line) * CHAR:.1f}" lengthAdjust="spacingAndGlyphs"'
                print(f'<text x="{MARGIN}" y="{TOP + row * LINE}" xml:space="preserve" {length}>{body}</text>')
        print("</g>")
    print("</svg>")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    draw(record(sys.argv[1], float(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "http://127.0.0.1:7070"))
