"""Images and data sets: reading, scanning folders, labelled data sets behind one protocol."""
