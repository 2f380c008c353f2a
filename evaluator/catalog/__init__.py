"""The catalog: what there is to ask about, the types, their fields and the values of these, from samples."""
