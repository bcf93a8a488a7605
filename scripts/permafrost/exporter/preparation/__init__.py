"""From a frozen graph to one that strangers' converters take, which computes the same bits."""
