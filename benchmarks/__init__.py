"""Speed and memory, each as a ratio to a ceiling or a rival measured in the same run."""
