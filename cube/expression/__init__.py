"""The expression language: text -> frozen syntax tree -> canonical text.

Public: `parse_metric`, `parse_event`, `parse_filters` (`cube.expression.grammar`), `print_expression`
(`cube.expression.printer`) and the nodes (`cube.expression.nodes`). Users read about it in
``docs/language.md``.
"""

from cube.expression.grammar import parse_event, parse_filters, parse_metric
from cube.expression.printer import canonical_text, print_expression
