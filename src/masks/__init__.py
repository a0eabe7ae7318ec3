"""What can be done with masks: numpy in, numpy or a figure out. No TensorFlow, no disk."""
