"""What the cross-component tests share: a real server, real speech, real browsers."""
