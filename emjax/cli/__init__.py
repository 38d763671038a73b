"""What a person types: the commands of `emjax`, their options, progress and messages."""
