"""Pictures that a catalogue names by address come in from the web, files of the collection go out."""
