"""Tables that can be pasted into a README, and the machine they were measured on."""

import os
import platform
import re
import subprocess


def print_table(header, rows):
    """A Markdown table, aligned to read well in a terminal too. Numbers stand to the right."""
    cells = [header, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    right = [all(is_number(row[i]) for row in cells[1:]) for i in range(len(header))]

    def line(row):
        columns = zip(row, widths, right)
        return "| " + " | ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in columns) + " |"

    print(line(cells[0]))
    print("|" + "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right)) + "|")
    for row in cells[1:]:
        print(line(row))
    print(flush=True)


def is_number(text):
    return bool(re.fullmatch(r"-|[\d,.]+( ?[a-zA-Zµ%]+)?", text))


def microseconds(value):
    """1234.5 -> 1.23 ms."""
    if value >= 1e6:
        return f"{value / 1e6:.2f} s"
    return f"{value / 1e3:.2f} ms" if value >= 1e3 else f"{value:.0f} µs"


def print_machine(commands):
    """Where this was measured: without it a number means nothing. `commands` print versions."""
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        models = re.findall(r"^model name\s*: (.*)$", info.read(), re.MULTILINE)
    model = models[0] if models else platform.machine()
    print(f"{os.cpu_count()} x {model}, Linux {platform.release()}")
    print(", ".join(version(command) for command in commands) + "\n", flush=True)


def version(command):
    """What a program says it is: "nginx 1.22.1"."""
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[\w.+-]*", run.stdout + run.stderr)
    return f"{os.path.basename(command[0])} {found.group() if found else 'unknown'}"


VERSIONS = {"sluice": "--version", "nginx": "-v", "haproxy": "-v", "nghttpx": "-v", "wrk": "-v",
            "h2load": "--version", "openssl": "version",
            "valgrind": "--version"}


def versions_of(names, sluice):
    programs = {"sluice": sluice}
    return [[programs.get(name, name), VERSIONS[name]] for name in names]
