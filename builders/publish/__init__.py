"""The folder of a run to a dataset repository on the Hub, checked before and after."""
