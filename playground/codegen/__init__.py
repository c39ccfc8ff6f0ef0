"""WRITE AND READ networks in other forms: code, links, pictures. Text in, text out; nothing read is executed."""
