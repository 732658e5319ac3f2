"""The rules of vulnerability scans."""
