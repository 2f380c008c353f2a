"""The ports through which the daemons reach a store; `cube.mongo` and `cube.sqlite` implement them.

`cube.store.ports` says what each must do, `cube.store.url` reads store URLs, `cube.store.find` answers
event queries over any `ReadSession`.
"""
