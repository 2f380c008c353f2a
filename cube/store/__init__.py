"""The ports through which the daemons reach a store; `mongo` and `sqlite` beside them implement them.

`cube.store.ports` says what each must do, `cube.store.url` reads store URLs, `cube.store.find` answers
event queries over any `ReadSession`.
"""
