"""Why an input has its class: sufficient, contrastive, necessary and relevant features, over any decision oracle."""
