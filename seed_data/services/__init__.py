"""Make-believe services that behave like real ones: a shop, a CRM, an email tool, a chat, a website.

They run as one process of their own and are reached over HTTP like any service; they know nothing of
Plumbline.
"""
