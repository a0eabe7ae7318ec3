"""Operations on masks: numpy arrays in, numbers, arrays or figures out. No TensorFlow, no disk access."""
