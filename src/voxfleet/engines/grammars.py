"""Which closed vocabularies may be used, and who finds out whether a caller's grammar is one.

A caller's text goes into a parser written in C, where a few lines can expand into gigabytes. So it is first compiled
and tried in a process of its own, with a limit of memory and time and nobody else's stream in it.
"""

import re
from collections import OrderedDict

from voxfleet.engines.sphinx_child import SphinxChild, gather
from voxfleet.engines.sphinx_messages import Check, Checked
from voxfleet.errors import BadGrammar, CapacityError

DIGITS = """#JSGF V1.0;
grammar digits;
public <digits> = <digit>+;
<digit> = zero | oh | one | two | three | four | five | six | seven | eight | nine;
"""

BUILT_IN = {"digits": DIGITS}
"""Grammars with a name."""

LONGEST = 16_384
"""Characters a caller's grammar may have."""

_REMEMBERED = 256
"""Verdicts kept, so that the thousandth call with the same grammar costs nothing."""

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_DEFINED = re.compile(r"(?:^|;)\s*(?:public\s+)?<([^<>\s]+)>\s*=")
_NAMED = re.compile(r"<([^<>\s]+)>")


def fault_in(text: str) -> str:
    """What can be seen to be wrong with a JSGF text without compiling it, or an empty string.

    PocketSphinx reads files for an `import` and silently ignores rules that are not defined; both are refused here.
    """
    if len(text) > LONGEST:
        return f"it has {len(text)} characters, more than the limit of {LONGEST}"
    if not text.startswith("#JSGF"):
        names = ", ".join(sorted(BUILT_IN))
        return f"it is neither the name of a built-in one ({names}) nor a text that begins with #JSGF"
    if "\0" in text:
        return "it holds a zero character"
    rules = _QUOTED.sub(" ", _COMMENT.sub(" ", text))
    if re.search(r"\bimport\s*<", rules):
        return "it imports another grammar, which is not possible here"
    missing = set(_NAMED.findall(rules)) - set(_DEFINED.findall(rules)) - {"NULL", "VOID"}
    if missing:
        return f"rule <{min(missing)}> is not defined"
    if not re.search(r"\bpublic\s+<", rules):
        return "it has no public rule"
    return ""


class Grammars:
    """Turns what a caller asked for into JSGF that is safe to give to a decoder."""

    def __init__(self, patience: float = 2.0) -> None:
        self._patience = patience
        self._verdicts: OrderedDict[str, str] = OrderedDict()
        self.checker = SphinxChild(seats=0)
        """Starts with the object; ready when it says so."""

    def resolve(self, asked: str) -> str:
        """The JSGF text behind a built-in name, or the caller's own text once it has been tried.

        Raises BadGrammar, or CapacityError while the process that tries grammars starts again.
        """
        if asked in BUILT_IN:
            return BUILT_IN[asked]
        fault = fault_in(asked)
        if not fault:
            if asked not in self._verdicts:
                self._verdicts[asked] = self._try(asked)
                if len(self._verdicts) > _REMEMBERED:
                    self._verdicts.popitem(last=False)
            self._verdicts.move_to_end(asked)
            fault = self._verdicts[asked]
        if fault:
            raise BadGrammar(fault)
        return asked

    def close(self) -> None:
        self.checker.close()

    def _try(self, text: str) -> str:
        self.checker.look()
        if self.checker.fault:
            self._restart()
        if not self.checker.ready:
            raise CapacityError("grammars can't be checked at this moment; try again in 1 s", retry_after=1.0)
        self.checker.ask(Check(text))
        gather((self.checker,), self._patience)
        match self.checker.take_reply():
            case Checked(fault=fault):
                return fault
            case _:
                self._restart()
                return "compiling it takes too much time or memory"

    def _restart(self) -> None:
        self.checker.close()
        self.checker = SphinxChild(seats=0)
