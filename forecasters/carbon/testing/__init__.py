"""Local servers that speak each provider's documented answers, their quirks and failures included: a file for each."""
