//! The text about a model's licenses, which is written beside it.

use super::{Catalogue, Model, Task};

impl Catalogue {
    /// The notice for a model from these sources.
    pub(super) fn notice(&self, model: &Model, sources: &str) -> String {
        let Model { name, license, attribution, .. } = model;
        let changes = match model.task {
            Task::Diarize => {
                "diarize has converted the files to its own format. The values of the weights are unchanged."
            }
            Task::Transcribe => "none.",
        };
        let mut text = format!(
            "{name}\n\nLicense: {license}\nAttribution: {attribution}\nSource: {sources}\n\
             Changes: {changes}\n"
        );
        for license in model.licenses() {
            let terms = self.licenses.get(license).map_or("", |terms| terms.trim());
            text += &format!("\n---- {license} ----\n\n{terms}\n");
        }
        text
    }
}
