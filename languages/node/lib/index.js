"use strict";

const { serve } = require("./serve.js");
const { http } = require("./http.js");
const { call } = require("./process.js");
const { NightcoreError } = require("./errors.js");
const { Answer, Reply } = require("./answer.js");
const { Metadata } = require("./metadata.js");

module.exports = { Answer, Metadata, NightcoreError, Reply, call, http, serve };
