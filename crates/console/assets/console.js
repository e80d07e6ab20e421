// Shortens waiting; every page does its work without it.
"use strict";
