% Reads {"msgId":…} and writes the number back: octave-cli numbers.m TEXT

disp(jsonencode(struct("received", jsondecode(argv(){end}).msgId)))
