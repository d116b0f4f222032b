"""Lab books, one folder per question, and the scripts that produced them."""
