"""Asks a memory the first twelve questions that its film's truth lists, and checks every answer.

    python examples/demo.py home.memory home.json

The film itself is not needed. An answer is right when its words are the true ones (for "when": when the
evidence lies within five seconds of the truth; for what never happened: when it is "not found").
"""

from __future__ import annotations

import json
import string
import sys
import time
from pathlib import Path

from watchonce import Memory, Span
from watchonce.clock import span_text

ASKED, GOAL, WITHIN = 12, 10, 5.0  # questions, right ones needed, seconds


def plain(text: str) -> str:
    """Lower case, without punctuation."""
    return " ".join(text.lower().translate(str.maketrans("", "", string.punctuation)).split())


def miss(evidence: tuple[Span, ...], truth: list[list[float]]) -> float:
    """Seconds from the best evidence to the nearest true span: mean error of its start and its end."""
    if not evidence:
        return float("inf")
    best = evidence[0]
    return min((abs(best.start - start) + abs(best.end - end)) / 2 for start, end in truth)


def main(folder: str, truth: str) -> int:
    """Prints the interview and its tally; returns the exit code: 0 when enough answers are right."""
    questions = json.loads(Path(truth).read_text(encoding="utf-8"))["questions"][:ASKED]
    began = time.perf_counter()
    memory = Memory.open(folder)
    memory.ask("warm up?")
    size, seconds = memory.stored.size / 1e6, time.perf_counter() - began
    print(f"\nopened {memory.path.name}, {size:.2f} MB, in {seconds:.1f} s; the film is gone\n")
    right, near, spent = 0, 0, []
    for row in questions:
        answer = memory.ask(row["question"])
        spent.append(answer.cost.seconds * 1000)
        error = miss(answer.evidence, row["evidence"]) if row["evidence"] else None
        good = error is None or error <= WITHIN
        near += good
        if row["kind"] == "when":
            correct = good
        elif row["kind"] == "none":
            correct = answer.not_found
        else:
            correct = plain(answer.text) == plain(row["answer"])
        right += correct
        proof = ", ".join(span_text(s.start, s.end) for s in answer.evidence) or "no evidence"
        print(f"{'right' if correct else 'WRONG'}  {row['question']}")
        print(f"       {answer.text}   [{proof}]   {spent[-1]:.0f} ms")
        if not correct:
            print(f"       truth: {row['answer']}")
        if error is not None and not good:
            print(f"       evidence is {error:.1f} s from the truth")
    print(
        f"\n{right} of {len(questions)} right (goal {GOAL}), evidence within {WITHIN:.0f} s in {near},"
        f" median {sorted(spent)[len(spent) // 2]:.0f} ms a question"
    )
    return 0 if right >= GOAL else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python examples/demo.py MEMORY TRUTH.json")
    sys.exit(main(sys.argv[1], sys.argv[2]))
