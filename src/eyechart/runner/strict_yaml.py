"""YAML files that users write: read safely, without repeated keys and without aliases."""

from __future__ import annotations

from typing import Any

import yaml

from eyechart.core.errors import one_line


class _Loader(yaml.SafeLoader):
    """Refuses repeated keys and aliases, which YAML allows."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):  # nested aliases grow without bound
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"key {key.value!r} occurs twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """The value of a YAML document.

    Raises:
        ValueError: not YAML, a repeated key, an alias, too deep; the message is one line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f", line {mark.line + 1}"
        raise ValueError(one_line(f"{error.problem}{where}")) from error
    except yaml.YAMLError as error:
        raise ValueError(one_line(str(error))) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        # PyYAML builds values of tags such as !!timestamp without checking their text.
        raise ValueError(f"a value that does not fit its tag ({one_line(error)})") from error
