"""The protocols in which events come in: our own, and those of other systems, the *dialects*.

`native` is ours over HTTP, WebSocket and UDP; `shared` is what all dialects have in common, and each has a
module or a package: a pure translation from a request to drafts of events, rejections, and the reply that its
client needs (`shared.dialect`). `registry` knows them all, `udp` what is heard by UDP.
"""
