"""Result documents, their directories, their check and the summary."""
