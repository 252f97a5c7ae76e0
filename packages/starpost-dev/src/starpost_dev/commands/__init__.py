"""The commands of ``make``, over the application that they are given."""
