"""Methods, one or two files a paper: which rows are made from the items of a source."""
