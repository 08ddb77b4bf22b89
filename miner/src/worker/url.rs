//! A program of the engineer's behind an address: it gets each job by `POST` and answers with JSON.

use async_trait::async_trait;
use reqwest::StatusCode;
use serde_json::Value;
use subnet_rules::work::WorkError;

use super::{ANSWER_MAX, Job, Worker};

/// A worker behind an address.
#[derive(Debug)]
pub(crate) struct Url {
    http: reqwest::Client,
    url: reqwest::Url,
}

impl Url {
    pub(crate) fn new(url: reqwest::Url) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, url })
    }
}

#[async_trait]
impl Worker for Url {
    async fn answer(&self, job: Job) -> Result<Value, WorkError> {
        let failed = |error: reqwest::Error| WorkError::Failed(error.to_string());
        let asked = self.http.post(self.url.clone()).timeout(job.deadline()).json(&job);
        let mut answer = asked.send().await.map_err(failed)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Err(WorkError::Failed(format!(
                    "its answer has more than {ANSWER_MAX} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        match status {
            StatusCode::OK => serde_json::from_slice(&body)
                .map_err(|error| WorkError::Failed(format!("its answer is no JSON: {error}"))),
            StatusCode::BAD_REQUEST => {
                Err(WorkError::Task(String::from_utf8_lossy(&body).into_owned()))
            }
            status => Err(WorkError::Failed(format!("it answers with status {status}"))),
        }
    }
}
