"""Exporter: a function from this repository's files and a user's answers to the files of a project.

``exported`` is the function; ``template/generate.py`` runs it for both doors, Cookiecutter and Copier.
"""
