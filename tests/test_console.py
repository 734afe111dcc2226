import os

import pytest
from rich.console import Console

from artray import console

ODD = "[bold red]x[/] [/] :art: D:\\pictures\\[1939] \\"


def plain(capsys) -> str:
    output = capsys.readouterr()
    assert output.out == ""
    assert "\x1b" not in output.err
    return output.err


@pytest.mark.parametrize("message", [ODD, "[", "[[]]", "x" * 500, "Zürich 北斎"])
def test_messages_are_shown_as_they_are(capsys, message):
    console.say(message)
    console.error(message)
    console.heading(message)
    assert plain(capsys) == f"{message}\nerror: {message}\n\n{message}\n"


def test_table_is_plain_and_complete_where_there_is_no_terminal(capsys):
    console.table(ODD, ["[b]name[/b]", "number"], [[ODD, 5], ["x" * 300, "1,234"], [None, "7.5 %"]])
    text = plain(capsys)
    assert ODD in text
    assert "[b]name[/b]" in text
    lines = [line.rstrip() for line in text.splitlines()]
    cells = [line.split() for line in lines if line.split()[-1:] in (["5"], ["1,234"], ["%"])]
    assert cells == [[*ODD.split(), "5"], ["x" * 300, "1,234"], ["None", "7.5", "%"]]
    ends = {len(line) for line in lines if line.split()[-1:] in (["5"], ["1,234"], ["%"])}
    assert len(ends) == 1  # numbers are right-aligned


def test_texts_are_left_aligned(capsys):
    console.table("t", ["what"], [["oil"], ["watercolour"]])
    lines = plain(capsys).splitlines()
    assert len({line.index(word) for line in lines for word in ("oil", "watercolour") if word in line}) == 1


def test_table_without_rows(capsys):
    console.table("empty", ["a", "b"], [])
    assert "empty" in plain(capsys)


def test_bar_says_lines_where_there_is_no_terminal(capsys, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    with console.bar("paint [1]", 3) as bar:
        bar.advance()
        assert plain(capsys) == ""  # not a line for each step, only every few seconds
        clock[0] += 20
        bar.advance(note=ODD)
        assert plain(capsys) == f"paint [1]: 2/3 (0.1/s, 0:00:20 left) {ODD}\n"
        clock[0] += 10
        bar.advance()
        assert plain(capsys) == f"paint [1]: 3/3 (0.1/s) {ODD}\n"
    assert plain(capsys) == ""


def test_what_is_left_does_not_reckon_with_the_start_again(capsys, monkeypatch):
    """Twelve seconds to the first step, a second for each other."""
    clock = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    with console.bar("train", 40) as bar:
        bar.advance(0, note="")  # a note alone is no step
        clock[0] += 12
        bar.advance()
        assert plain(capsys) == "train: 1/40 (0.1/s)\n"
        for _ in range(11):
            clock[0] += 1
            bar.advance()
        assert plain(capsys) == "train: 12/40 (0.5/s, 0:00:28 left)\n"


def test_bar_at_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(
        console,
        "_console",
        lambda: Console(stderr=True, force_terminal=True, width=120, markup=False, emoji=False, _environ={}),
    )
    with console.bar("paint", 2) as bar:
        bar.advance(2, note="[red]dry[/red]")
    text = capsys.readouterr().err
    assert "2/2" in text
    assert "[red]dry[/red]" in text
    assert "paint: 2/2" not in text


def test_silent_stderr_hides_what_is_written_past_python(capfd):
    with console.silent_stderr():
        os.write(2, b"a library written in C++")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"
