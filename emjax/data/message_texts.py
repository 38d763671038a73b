"""Conversations in votes: turns, messages and content parts, divided into a prompt and an answer."""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

Message = dict[str, str]
Entry = list[str] | list[Message]  # turns of one side; or messages of both sides

_INVISIBLE = {
    "Zs",
    "Zl",
    "Zp",
    "Cc",
    "Cf",
}  # categories of characters in Unicode
_SIDES = {
    role: side
    for side, roles in {
        "system": ("system",),
        "developer": ("developer",),
        "user": ("user", "human", "prompter"),
        "assistant": ("assistant", "gpt", "bot", "model"),
        "tool": ("tool",),
    }.items()
    for role in roles
}
_SPEECH = {"content", "tool_calls", "function_call"}  # beside a role, what makes an object a message
_SAYS_TEXT = {"text", "input_text", "output_text"}
# Fields in which messages and parts are recorded and not spoken: a chat template reads none of them.
_RECORDS = {
    *("id", "ids", "uuid", "message_id", "parent", "parent_id", "turn_id", "object", "model", "index"),
    *("timestamp", "time", "date", "created", "created_at", "updated_at", "language", "lang", "country"),
    *("state", "status", "header", "hashed_ip", "finish_reason", "stop_reason", "usage", "logprobs"),
    *("metadata", "cache_control", "annotations", "mimeType", "mime_type"),
}
_TRANSCRIPT = re.compile(r"\s*Human:.*\n\nAssistant:", re.DOTALL)
_PRINTED = re.compile(r"\[\s*(\{\s*)?['\"].*\]", re.DOTALL)


class Unusable(Exception):
    """A prompt or an answer that cannot be trained on: what is wrong, and what to do."""

    def __init__(self, what: str, remedy: str = "leave those rows out") -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


def is_blank(text: str) -> bool:
    r"""Whether no character of a text is visible: it is empty, or only white space.

    Examples
    --------
    >>> is_blank(" \n\u00a0\u200b"), is_blank("0")
    (True, False)
    """
    return all(unicodedata.category(character) in _INVISIBLE for character in text)


def is_message(fields: Any) -> bool:
    """Whether an object, or the names of its fields, are those of a message."""
    if not isinstance(fields, dict):
        return False
    return ("role" in fields and not _SPEECH.isdisjoint(fields)) or {"from", "value"} <= fields.keys()


def parsed(text: str) -> list[Any] | None:
    """The list of turns or messages that a text holds as JSON; None if it is any other text.

    Examples
    --------
    >>> parsed('["Hi", null]'), parsed('{"role": "user", "content": "Hi"}'), parsed("[1, 2]")
    (['Hi', None], [{'role': 'user', 'content': 'Hi'}], None)
    """
    held = _loaded(text)
    if is_message(held):
        return [held]
    alike = isinstance(held, list) and (all(map(is_message, held)) or all(map(_is_turn, held)))
    return held if alike else None


def form_of(text: str | None) -> str:
    """What a text holds: "nothing", "turns", "messages", a "printed" list that is no JSON, or "text"."""
    if text and text[0] not in "[{n" and not is_blank(text[0]):
        return "text"  # most texts, which are not read to their ends
    if text is None or is_blank(text) or text.strip() == "null":
        return "nothing"
    held = parsed(text)
    if held is None:
        printed = _PRINTED.fullmatch(text.strip()) and _loaded(text) is None
        return "printed" if printed else "text"
    return "messages" if held and isinstance(held[0], dict) else "turns"


def answer_start(prompt: str | None, answer: str) -> int:
    r"""Where the answer begins in a text that repeats its prompt; 0 if it does not.

    Examples
    --------
    >>> answer_start("2 + 2", "2 + 2 = 4"), answer_start(None, "Human: Hi\n\nAssistant: Hello")
    (5, 21)
    """
    transcript = _TRANSCRIPT.match(answer)
    if transcript:
        return transcript.end()
    return len(prompt) if prompt is not None and answer.startswith(prompt) else 0


def read_entry(held: Any) -> Entry:
    """Turns or messages of one prompt or answer; an empty list where there is none.

    Raises
    ------
    Unusable
        It holds what would be lost: calls of tools, images, fields that are not known.
    """
    if held is None or isinstance(held, str):
        return [] if held is None or is_blank(held) else [_text(held)]
    held = [held] if isinstance(held, dict) else held
    if isinstance(held, list) and all(map(_is_turn, held)):
        return [_text(turn or "") for turn in held]
    if isinstance(held, list) and all(map(is_message, held)):
        return [_message(entry) for entry in held]
    raise Unusable("hold neither text nor messages with role and content")


def divide(asked: Entry, said: Entry) -> tuple[list[Message], list[Message]]:
    """A conversation as all that comes before its last answer, and that answer.

    Parameters
    ----------
    asked : the prompt, empty if it is in the answer alone
    said : the answer: alone, as turns, or as a conversation that repeats the prompt

    Raises
    ------
    Unusable
        The answer does not go with the prompt, or the conversation does not end in an answer.

    Examples
    --------
    >>> divide(["2 + 2?"], ["4"])
    ([{'role': 'user', 'content': '2 + 2?'}], [{'role': 'assistant', 'content': '4'}])
    """
    questions = [turn for turn in asked if isinstance(turn, str)]
    prompt = [_said("user", turn) for turn in questions] or _messages(asked)
    if not said:
        return prompt, []
    turns = [turn for turn in said if isinstance(turn, str)]
    if turns:
        answers = [_said("assistant", turn) for turn in turns]
        _check_turns(len(turns), len(questions) or 1)
        if len(turns) == 1:
            return prompt, answers
        both = zip(prompt, answers, strict=True)
        whole = [entry for exchange in both for entry in exchange]
    else:
        whole = _whole(prompt, questions, _messages(said))
    if whole[-1]["role"] != "assistant":
        raise Unusable("do not end in a message of the assistant", "leave those rows out")
    return whole[:-1], whole[-1:]


def is_missing(said: str | list[Message] | None) -> bool:
    """Whether a prompt or an answer is absent, or a turn of it is blank."""
    if said is None or isinstance(said, str):
        return said is None or is_blank(said)
    spoken = [is_blank(entry["content"]) for entry in said if entry["role"] in ("user", "assistant")]
    return any(spoken) or all(is_blank(entry["content"]) for entry in said)


def _whole(prompt: list[Message], questions: Sequence[str], said: list[Message]) -> list[Message]:
    """The conversation that an answer made of messages belongs to, with its prompt once."""
    (above, prompt), (above_said, said) = _without_system(prompt), _without_system(said)
    if not said or said[0]["role"] == "assistant":
        if questions:
            _check_turns(1, len(questions))
        whole = prompt + said
    elif questions and [entry["content"] for entry in said if entry["role"] == "user"] == questions:
        whole = said
    elif _key(said[: len(prompt)]) == _key(prompt):
        whole = prompt + said[len(prompt) :]
    else:
        raise Unusable("begin with messages other than those of the prompt", "give the prompt as it is there")
    if above and above_said and _key(above) != _key(above_said):
        raise Unusable("hold another system message than the prompt", "give one of them alone")
    whole = (above or above_said) + whole
    if not whole:
        raise Unusable("hold no messages")
    return whole


def _check_turns(answers: int, questions: int) -> None:
    if answers != questions:
        raise Unusable(
            "hold another number of turns than their prompt",
            "give as many, or, where answers are JSON lists themselves, messages with role and content",
        )


def _messages(entry: Entry) -> list[Message]:
    return [message for message in entry if isinstance(message, dict)]


def _without_system(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    above = list(takewhile(lambda entry: entry["role"] in ("system", "developer"), messages))
    return above, messages[len(above) :]


def _key(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """What messages are compared by: white space around them does not count."""
    return [(entry["role"], entry["content"].strip()) for entry in messages]


def _loaded(text: str) -> Any:
    """The list or object that a text holds as JSON, None if it holds none."""
    bare = text.strip()
    if bare[:1] not in ("[", "{"):
        return None
    try:
        return json.loads(bare)
    except (ValueError, RecursionError):
        return None


def _said(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _is_turn(held: Any) -> bool:
    return held is None or isinstance(held, str)


def _text(text: str) -> str:
    """A text that can be written: lone surrogates, which JSON can hold and files cannot, are replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _message(entry: Mapping[str, Any]) -> Message:
    fields = dict(entry)
    role, content = ("role", "content") if "role" in entry else ("from", "value")
    written = fields.pop(role, None)
    side = _SIDES.get(written.lower()) if isinstance(written, str) else None
    if side is None:
        raise Unusable(f"hold messages of the role {written!r}", "use system, user, assistant or tool")
    said = _content(fields.pop(content, None))
    _check_nothing_lost(fields)
    return _said(side, said)


def _content(held: Any) -> str:
    if isinstance(held, str):
        # Where some rows have text and others parts, a column of one type holds the parts as JSON.
        written = _loaded(held) if held.startswith("[{") else None
        held = written if isinstance(written, list) and all(map(_is_typed_part, written)) else held
    if held is None or isinstance(held, str):
        return _text(held or "")
    parts = [held] if isinstance(held, dict) else held
    if not isinstance(parts, list):
        raise Unusable("hold content that is neither text nor a list of parts", "write it as text")
    return "".join(map(_part, parts))


def _is_typed_part(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("type"), str)


def _part(part: Any) -> str:
    if part is None or isinstance(part, str):
        return _text(part or "")
    fields = {name: value for name, value in part.items() if not _is_empty(value)}
    named = fields.pop("type", "text" if "text" in part else None)
    if named not in _SAYS_TEXT or not isinstance(fields.get("text", ""), str):
        raise Unusable(f"hold parts of the type {named!r}, which is not supported (text is)")
    said = fields.pop("text", "")
    _check_nothing_lost(fields)
    return _text(said)


def _check_nothing_lost(fields: Mapping[str, Any]) -> None:
    """Texts and nested values beside a message's content may be a part of what was said; numbers are not."""
    for name, value in fields.items():
        spoken = isinstance(value, (str, bytes, list, dict)) and not _is_empty(value)
        if spoken and name not in _RECORDS:
            raise Unusable(
                f"hold {name}, which {'are' if name.endswith('s') else 'is'} not kept",
                "write that into the content as the chat template of the model does, or leave those rows out",
            )


def _is_empty(value: Any) -> bool:
    """Whether a value holds nothing: structs of a column have the fields of all rows, some of them null."""
    if isinstance(value, dict):
        return all(map(_is_empty, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_empty, value))
    return value is None or value == ""
