mod anything;
mod connecting;
mod hostile;
mod link;
mod living;
