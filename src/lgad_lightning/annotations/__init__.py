"""The files in which people keep lanes: one a reader, polylines in pixels whatever they were drawn with."""
