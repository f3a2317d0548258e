"""What is removed or started again without a request: lost runs, expired sessions, orphans."""
