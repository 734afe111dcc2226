"""What a curator should look at first: of labels, features and the catalogue, each work's place in six queues.

uncertain   least certain: the two likeliest classes are close
differs     differs from the catalogue, surest first: by confident learning, on scores of a model that has not seen the
            work's group
disagree    models of one question say different things, and each is sure
useful      most useful for the next training: uncertain, and unlike the works that are known and each other
duplicates  near-duplicates that have different labels in the catalogue
novel       unlike anything that the model has learned, the strangest first: its label is uncertain, whatever the score

Works that a model has learned from have no place where its own scores count. Works that a curator has checked have none
anywhere.
"""

from artray.queues.table import QUEUES, Alike, make_queues, ranked

__all__ = ["QUEUES", "Alike", "make_queues", "ranked"]
