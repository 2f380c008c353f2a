"""The expression language: text -> frozen syntax tree -> canonical text.

Public: `parse_metric`, `parse_event` (`cube.expression.grammar`), `print_expression`
(`cube.expression.printer`) and the nodes (`cube.expression.nodes`).
"""
