"""Files of others as events: formats are read as records, records become events, and these are sent.

`cube.importing.job` puts it together for ``cube import``; decision 0047 says why events get the ids they do.
"""
