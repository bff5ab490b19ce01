"""The command ``minilm``: one small file a sub-command."""
