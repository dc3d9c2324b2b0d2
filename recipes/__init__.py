"""How everything that ships in the zoo was made."""
