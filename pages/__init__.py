"""How results are shown: charts as SVG, formatting, findings and reasons in words. Pure: tables in, text out."""
